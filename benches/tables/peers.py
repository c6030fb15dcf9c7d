#!/usr/bin/env python3
"""One peer on one table: peers.py METHOD FOLDER SEED OUT. run.py calls it.

FOLDER holds train.csv, test.csv without the target, and meta.json. The predictions go to OUT in the format of `bngpu
predict`, and a line of JSON with the seconds to stdout. Everything about a model is decided within train.csv: methods
that stop early hold out a tenth of its rows. OMP_NUM_THREADS is the number of threads.

  pip install numpy pandas scikit-learn lightgbm xgboost catboost
  pip install pytabkit torch                                        # realmlp, tabm_small
"""

import csv
import importlib
import importlib.metadata
import json
import os
import sys
import time
import warnings
from pathlib import Path

THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count())))
MISSING = "_NA_"


def with_categories(meta, train, test):
    """Columns of text as categories, those of the training rows."""
    for name in meta["cat"]:
        values = sorted(train[name].dropna().unique())
        train[name], test[name] = (pandas.Categorical(x[name], categories=values) for x in (train, test))


def with_text(meta, train, test):
    """A missing text is a category of its own."""
    for name in meta["cat"]:
        train[name], test[name] = (x[name].fillna(MISSING).astype(str) for x in (train, test))


def without_gaps(meta, train, test):
    """Missing numbers become the median of the training rows, with a column that says where."""
    for name in meta["num"]:
        median = train[name].median()
        if train[name].isna().any():
            train[name + "_na"], test[name + "_na"] = (x[name].isna().astype(float) for x in (train, test))
        train[name], test[name] = (x[name].astype(float).fillna(median) for x in (train, test))
    with_text(meta, train, test)


def held_out(meta, y, seed):
    """Nine tenths of the training rows, and the tenth that decides when to stop."""
    stratify = y if meta["task"] == "classify" else None
    split = importlib.import_module("sklearn.model_selection").train_test_split
    return split(range(len(y)), test_size=0.1, random_state=seed, stratify=stratify)


def sk_mlp(meta, x, test, y, seed):
    """scikit-learn's MLP with early stopping; numbers scaled, text one-hot, targets of a regression scaled."""
    from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    with_text(meta, x, test)
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    text = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=64, sparse_output=False)
    columns = ColumnTransformer([("n", numbers, meta["num"]), ("c", text, meta["cat"])])
    if meta["task"] == "classify":
        return make_pipeline(columns, MLPClassifier(early_stopping=True, random_state=seed)).fit(x, y)
    net = MLPRegressor(early_stopping=True, random_state=seed)
    return make_pipeline(columns, TransformedTargetRegressor(net, transformer=StandardScaler())).fit(x, y)


def lgbm(meta, x, test, y, seed):
    """LightGBM's defaults."""
    import lightgbm

    with_categories(meta, x, test)
    kind = lightgbm.LGBMClassifier if meta["task"] == "classify" else lightgbm.LGBMRegressor
    return kind(verbose=-1, n_jobs=THREADS, random_state=seed).fit(x, y)


def lgbm_es(meta, x, test, y, seed):
    """LightGBM with a rate of 0.05 and early stopping (50 rounds)."""
    import lightgbm

    with_categories(meta, x, test)
    a, b = held_out(meta, y, seed)
    kind = lightgbm.LGBMClassifier if meta["task"] == "classify" else lightgbm.LGBMRegressor
    model = kind(verbose=-1, n_jobs=THREADS, random_state=seed, n_estimators=5000, learning_rate=0.05)
    stop = lightgbm.early_stopping(50, verbose=False)
    return model.fit(x.iloc[a], y[a], eval_set=[(x.iloc[b], y[b])], callbacks=[stop])


def xgb_es(meta, x, test, y, seed):
    """XGBoost with a rate of 0.05 and early stopping (50 rounds)."""
    import xgboost

    with_categories(meta, x, test)
    a, b = held_out(meta, y, seed)
    kind = xgboost.XGBClassifier if meta["task"] == "classify" else xgboost.XGBRegressor
    model = kind(n_jobs=THREADS, random_state=seed, n_estimators=5000, learning_rate=0.05, tree_method="hist",
                 enable_categorical=True, early_stopping_rounds=50)  # fmt: skip
    return model.fit(x.iloc[a], y[a], eval_set=[(x.iloc[b], y[b])], verbose=False)


def catb(meta, x, test, y, seed):
    """CatBoost's defaults; $CB_ITERS are its iterations."""
    import catboost

    with_text(meta, x, test)
    kind = catboost.CatBoostClassifier if meta["task"] == "classify" else catboost.CatBoostRegressor
    model = kind(thread_count=THREADS, random_seed=seed, verbose=0, allow_writing_files=False,
                 cat_features=meta["cat"], iterations=int(os.environ.get("CB_ITERS", 1000)))  # fmt: skip
    return model.fit(x, y)


def realmlp(meta, x, test, y, seed):
    """RealMLP with its tuned defaults and 32 to 256 epochs, fewer for more rows; $RMLP_EPOCHS sets them."""
    import pytabkit

    without_gaps(meta, x, test)
    epochs = int(os.environ.get("RMLP_EPOCHS", 0)) or max(32, min(256, int(2.6e6 / len(x))))
    settings = {"device": "cpu", "random_state": seed, "n_threads": THREADS, "n_epochs": epochs}
    if meta["task"] == "classify":
        model = pytabkit.RealMLP_TD_Classifier(val_metric_name="cross_entropy", use_ls=False, **settings)
    else:
        model = pytabkit.RealMLP_TD_Regressor(**settings)
    return model.fit(x, y, cat_col_names=meta["cat"])


def tabm_small(meta, x, test, y, seed):
    """TabM with k = 16, two blocks of width 128, a rate of 2e-3 and 15 to 100 epochs."""
    import pytabkit

    without_gaps(meta, x, test)
    settings = {"device": "cpu", "random_state": seed, "n_threads": THREADS, "tabm_k": 16, "d_block": 128}
    settings |= {"n_blocks": 2, "n_epochs": max(15, min(100, int(1.0e6 / len(x)))), "lr": 2e-3}
    if meta["task"] == "classify":
        model = pytabkit.TabM_D_Classifier(val_metric_name="cross_entropy", **settings)
    else:
        model = pytabkit.TabM_D_Regressor(**settings)
    return model.fit(x, y, cat_col_names=meta["cat"])


# The package of each method, imported before the clock starts.
PACKAGES = {"sk_mlp": "sklearn.neural_network", "lgbm": "lightgbm", "lgbm_es": "lightgbm", "xgb_es": "xgboost",
            "catb": "catboost", "realmlp": "pytabkit", "tabm_small": "pytabkit"}  # fmt: skip


def cpu():
    return sum(os.times()[:4])


def main():
    method, folder, seed, out = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    meta = json.loads((folder / "meta.json").read_text())
    package = PACKAGES[method].split(".")[0]
    for name in ("sklearn.model_selection", "sklearn.compose", PACKAGES[method]):
        importlib.import_module(name)
    start, begun = cpu(), time.monotonic()

    text = dict.fromkeys(meta["cat"], str)
    if meta["task"] == "classify":
        text[meta["target"]] = str  # labels such as 0 and 1 stay text
    train = pandas.read_csv(folder / "train.csv", dtype=text)
    test = pandas.read_csv(folder / "test.csv", dtype=text)
    y = train[meta["target"]].to_numpy()
    classes = sorted(set(y)) if meta["task"] == "classify" else None
    if classes:
        y = numpy.searchsorted(numpy.array(classes, dtype=object), y)
    x, rows = train[meta["num"] + meta["cat"]].copy(), test[meta["num"] + meta["cat"]].copy()
    model = globals()[method](meta, x, rows, y, seed)
    found = numpy.asarray(model.predict_proba(rows) if classes else model.predict(rows))

    seconds = {"cpu_seconds": cpu() - start, "wall_seconds": time.monotonic() - begun}
    with open(out, "w", newline="") as file:
        write = csv.writer(file)
        if classes:
            write.writerow(["row", "class", *(f"p_{name}" for name in classes)])
            write.writerows([at, classes[p.argmax()], *map(float, p)] for at, p in enumerate(found))
        else:
            write.writerow(["row", "value"])
            write.writerows([at, float(value)] for at, value in enumerate(found.reshape(-1)))
    version = importlib.metadata.version({"sklearn": "scikit-learn"}.get(package, package))
    print(json.dumps({"version": f"{package} {version}", **seconds}))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    import numpy
    import pandas

    main()
