"""The wire protocols of servers, as the load generator needs to know them; pure."""
