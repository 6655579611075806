"""Turn columns into a network's inputs, with statistics of the training rows alone."""

from typing import Any

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler


def fit_preprocessing(features: pd.DataFrame) -> ColumnTransformer:
    """Learn from training rows how to impute and standardize numbers, and how to one-hot texts.

    The inputs are, in this order: the number columns, missing values filled with the mean; an indicator for
    each number column that had missing values; all of these standardized; then for each text column a 0/1
    input per category, missing being one where it occurred. A text that did not occur is all zeros.

    Parameters
    ----------
    features : pandas.DataFrame
        The training rows: float64 and text columns, NaN where missing.

    Returns
    -------
    sklearn.compose.ColumnTransformer
        Fitted; its `transform` gives float64 arrays.
    """
    numbers = list(features.select_dtypes("float64").columns)
    texts = [name for name in features.columns if name not in numbers]
    impute = SimpleImputer(add_indicator=True, keep_empty_features=True)
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    steps = [("numbers", make_pipeline(impute, StandardScaler()), numbers), ("texts", encode, texts)]
    return ColumnTransformer(steps, sparse_threshold=0).fit(features)


def describe_preprocessing(fitted: ColumnTransformer) -> dict[str, Any]:
    """Describe a fitted preprocessing by plain lists, enough to repeat it without scikit-learn.

    Returns
    -------
    dict
        ``numbers`` (column names) with ``fill`` (the replacement of a missing value), ``indicators`` (the
        number columns with one), ``mean`` and ``scale`` (of the numbers, then of the indicators), and
        ``texts`` (from column name to its categories, ``None`` being missing).
    """
    (_, _, numbers), (_, encoder, texts) = fitted.transformers_[:2]
    description: dict[str, Any] = {"numbers": numbers, "fill": [], "indicators": [], "mean": [], "scale": []}
    if numbers:
        imputer, scaler = fitted.named_transformers_["numbers"]
        description |= {
            "fill": imputer.statistics_.tolist(),
            "indicators": [numbers[i] for i in imputer.indicator_.features_],
            "mean": scaler.mean_.tolist(),
            "scale": scaler.scale_.tolist(),
        }
    categories = encoder.categories_ if texts else []
    description["texts"] = {
        name: [None if pd.isna(text) else str(text) for text in categories_of_column]
        for name, categories_of_column in zip(texts, categories, strict=True)
    }
    return description
