"""Measuring: questions with known answers asked through the main path, and what came of them."""
