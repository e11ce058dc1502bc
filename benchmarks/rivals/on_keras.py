"""Keras 3 on its torch backend: `compile` and `fit`, as its guides write it."""

from __future__ import annotations

import os

os.environ["KERAS_BACKEND"] = "torch"  # Keras reads it once, when it is imported.

import keras
from keras import layers, losses, metrics, optimizers, regularizers

from benchmarks.workloads import LEARNING_RATE, Workload


class Keras:
    name = "Keras 3 on torch"
    lacks = ""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._splits = [part.numpy() for part in workload.splits]

    def parameters(self) -> int:
        return sum(int(weight.numpy().size) for weight in self._model().trainable_weights)

    def train(self, epochs: int, seed: int) -> float:
        keras.utils.set_random_seed(seed)
        model = self._model()
        x, y, *held_out = self._splits
        told = model.fit(
            x, y, batch_size=self._workload.batch, epochs=epochs, validation_data=tuple(held_out), verbose=0
        )
        return float(told.history["val_accuracy"][-1])

    def _model(self) -> keras.Model:
        workload = self._workload
        columns, *_, outputs = workload.widths

        def dense(width: int) -> layers.Layer:
            return layers.Dense(width, kernel_regularizer=regularizers.L1L2(workload.l1, workload.l2))

        model = keras.Sequential([keras.Input((columns,))])
        for width, rate in zip(workload.hidden, workload.rates, strict=True):
            norm = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
            for layer in (dense(width), norm, layers.Activation("relu"), layers.Dropout(rate)):
                model.add(layer)
        model.add(dense(outputs))
        binary = outputs == 1
        loss = losses.BinaryCrossentropy if binary else losses.SparseCategoricalCrossentropy
        accuracy = metrics.BinaryAccuracy("accuracy", threshold=0.0) if binary else "accuracy"
        model.compile(optimizers.Adam(LEARNING_RATE), loss(from_logits=True), metrics=[accuracy])
        return model
