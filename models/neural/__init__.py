"""Neural tasks over the waist: a multilayer perceptron and an LSTM, one clipped integer sum a step."""
