"""metaplatform: data, features, models and the loop that keeps them right, from one instruction book."""
