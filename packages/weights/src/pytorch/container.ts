/** What a checkpoint is made of, whichever way it was written: a pickled value, and storages that lie beside it. */
import type { PickleValue } from '../pickle/values.ts'
import type { Storage } from './tensor-view.ts'

export interface Container {
  readonly value: PickleValue
  /** `length` bytes of a storage from byte `offset` on. */
  read(storage: Storage, offset: number, length: number): Promise<Uint8Array>
  /** Checks the checksums of all storages, where there are any. */
  verify(signal?: AbortSignal): Promise<void>
}
