"""Model versions, in MLflow."""
