"""Capacity planning runs: how many users one server process holds, and what gives out first."""
