type Task = () => Promise<void> | void

/** Tasks that run one after the other in the order in which they were added, from the end of the call that adds the first. */
export class Queue {
  readonly #tasks: Task[] = []
  readonly #failed: (error: unknown) => void
  #running: Promise<void> | undefined

  /** @param failed is told what a task throws; the others go on. */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  add(task: Task): void {
    this.#tasks.push(task)
    this.#running ??= this.#drain()
  }

  /** Resolves when nothing is left to do. */
  async done(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #drain(): Promise<void> {
    // Let the caller finish the call that issued the first task.
    await undefined
    for (let next = 0; next < this.#tasks.length; next++) {
      try {
        await (this.#tasks[next] as Task)()
      } catch (error) {
        this.#failed(error)
      }
      if (next === 1023) {
        this.#tasks.splice(0, next + 1)
        next = -1
      }
    }
    this.#tasks.length = 0
    this.#running = undefined
  }
}
