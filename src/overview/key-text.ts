/** How a key that is no text is shown as text. Pure. */
import { isUtf8 } from 'node:buffer'

/** A key as text. */
export interface KeyText {
  readonly key: string
  /** The key itself if it is no text: `key` then shows it. Otherwise undefined. */
  readonly bytes: Uint8Array | undefined
}

/**
 * A key that is valid UTF-8 stays as it is. In any other key each byte above 127 becomes `\xNN`, and a backslash becomes two: so different keys
 * look different.
 */
export function keyText(bytes: Uint8Array): KeyText {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (isUtf8(buffer)) return { key: buffer.toString(), bytes: undefined }
  const key = buffer
    .toString('latin1')
    .replaceAll('\\', '\\\\')
    .replaceAll(/[\u0080-\u00ff]/g, (letter: string) => `\\x${letter.charCodeAt(0).toString(16)}`)
  return { key, bytes: new Uint8Array(buffer) }
}
