/** A worker that fails before it serves. */
throw new RangeError('the module fails')
