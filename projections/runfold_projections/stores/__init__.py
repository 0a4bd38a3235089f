"""Engines that keep views."""
