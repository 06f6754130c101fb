/**
 * How logs show an object. Our classes keep everything in accessors and private fields, which logs show as `{}`.
 */

/** @param prototype of a class whose `toJSON` says what may be shown. */
export function showInLogs(prototype: { toJSON(): object }, name: string): void {
  // See `util.inspect.custom`.
  Object.defineProperty(prototype, Symbol.for('nodejs.util.inspect.custom'), {
    value(
      this: { toJSON(): object },
      _depth: number,
      options: object,
      inspect: (value: object, options: object) => string,
    ) {
      return `${name} ${inspect(this.toJSON(), options)}`
    },
    writable: true,
    configurable: true,
  })
}
