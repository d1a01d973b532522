"""Training of the models that ship: data, hard negatives, objective, trainer, calibration."""
