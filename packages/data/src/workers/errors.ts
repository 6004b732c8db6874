import { ConvnetsError } from '@convnets/tensor'

/** Worker threads that could not start, died, or did not answer in time. `cause` holds what they died of, where known. */
export class WorkerError extends ConvnetsError {
  override name = 'WorkerError'
}
