"""The comparison of servers: workloads, measurements, saved results, tables and the chart."""
