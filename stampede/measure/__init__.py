"""The measurements of a run: histograms, figures, reports, storms and the snapshot."""
