"""What a run is asked: settings, SLOs, secrets."""
