/** Models that are recorded: the forward pass without the JavaScript between kernels. */
import { ArgumentError, type RecordedFunction, type RecordOptions, record, Tensor } from '@convnets/tensor'
import { isModule, type Module } from './module.ts'
import { isContainer } from './walk.ts'

/**
 * The forward pass of a model in evaluation mode, recorded: `record` of `@convnets/tensor` with all that a model consists of
 * watched. The first call with inputs of given shapes records, the following ones are 1.05 to 1.3 times as fast as
 * `model.forward`, with the same bits. It is recorded anew when parameters, layers, hooks or other public fields of the model
 * are other ones; forward hooks run when it is recorded and not when it is done again.
 *
 * ```ts
 * const run = compile(model.eval())
 * const logits = tidy(() => run(x)).dataSync()
 * ```
 *
 * What it holds (the intermediate results of a pass, for each set of shapes) is freed by `run.dispose()`. PyTorch's
 * `torch.compile(model)`, for inference alone.
 *
 * @throws ArgumentError for a model in training mode, when it is called, and what `record` throws.
 */
export function compile<I extends readonly Tensor[], O>(
  model: Module & { forward(...inputs: I): O },
  options: Pick<RecordOptions, 'limit'> = {},
): RecordedFunction<I, O> {
  if (!isModule(model)) throw new ArgumentError(`compile: model expects a Module, got ${typeof model}`)
  const forward = (...inputs: I): O => {
    if (model.training)
      throw new ArgumentError('compile: model expects evaluation mode, got training mode; call eval()')
    return model.forward(...inputs)
  }
  return record(forward, { ...options, guard: () => guardOf(model) })
}

/** Tells whether all modules have the public fields that they have now, and the same `forward`, which hooks replace. */
function guardOf(model: Module): () => boolean {
  const holders: object[] = []
  const keys: string[] = []
  const values: unknown[] = []
  const watch = (holder: object, key: string): void => {
    const value = Reflect.get(holder, key)
    holders.push(holder)
    keys.push(key)
    values.push(value)
    if (holdsParts(value)) for (const item of Object.keys(value)) watch(value, item)
  }
  for (const module of model.namedModules().values())
    for (const key of ['forward', ...Object.keys(module)]) watch(module, key)
  // Plain loops: it runs before every pass, over some thousand fields.
  return () => {
    for (let i = 0; i < holders.length; i++) {
      if ((holders[i] as Record<string, unknown>)[keys[i] as string] !== values[i]) return false
    }
    return true
  }
}

/** Whether it is an array or a record with modules, tensors or others of its kind in it. */
function holdsParts(value: unknown): value is object {
  if (isModule(value) || value instanceof Map || !isContainer(value)) return false
  return Object.values(value).some((item) => isModule(item) || item instanceof Tensor || holdsParts(item))
}
