"""Recurrences without gates, or with weights of their own in place of gates."""
