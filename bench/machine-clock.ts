/** The one clock that all processes of a machine share: the monotonic one. Imports node: modules only. */
import { setTimeout } from 'node:timers/promises'

/** In ms, with a fraction, since an instant that is the same for every process. */
export function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

export async function sleepUntil(time: number): Promise<void> {
  await setTimeout(Math.max(0, time - machineTime()))
}
