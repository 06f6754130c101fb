/** The one clock that all processes of a machine share: the monotonic one. */

/** In ms, with a fraction, since an instant that is the same for every process. */
export function machineTime(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
