"""Forecast of a tune: memory, time, money and disk, before anything is spent."""
