/** A number that exporters export, and its attributes. */
import type { Health, LeaseManagerStats } from '../stats.ts'

/**
 * What tells a number from others of the same name. The same attributes are always the same object, so that exporters can remember what they have made
 * of them.
 */
export type FigureAttributes = Readonly<Record<string, string>>

/** Takes a number. */
export type Tell = (value: number, attributes: FigureAttributes) => void

/** What a manager reports of itself at one moment. */
export interface Reading {
  readonly stats: LeaseManagerStats
  readonly health: Health
}

/** UCUM. `flag`: 0 or 1. */
export type FigureUnit =
  | '{lease}'
  | '{caller}'
  | '{key}'
  | '{renewal}'
  | '{request}'
  | '{wake_up}'
  | '{disconnection}'
  | '{renewal}/s'
  | 's'
  | '1'
  | 'flag'

export interface Figure {
  /** In words, with a dot between groups. */
  readonly name: string
  readonly kind: 'counter' | 'gauge'
  readonly unit: FigureUnit
  readonly help: string
  /** Tells each of the numbers. */
  readonly read: (reading: Reading, tell: Tell) => void
}

/** Attributes of one name, by their value. */
export function attributesBy(name: string): (value: string) => FigureAttributes {
  const known = new Map<string, FigureAttributes>()
  return (value) => {
    let attributes = known.get(value)
    if (attributes === undefined) {
      // Servers may come and go for years.
      if (known.size >= MOST_KNOWN) known.clear()
      attributes = { [name]: value }
      known.set(value, attributes)
    }
    return attributes
  }
}

const MOST_KNOWN = 1_000

/** Remembers what was made of an object. */
export function onceForEach<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const made = new WeakMap<K, V>()
  return (key) => {
    let value = made.get(key)
    if (value === undefined) {
      value = make(key)
      made.set(key, value)
    }
    return value
  }
}
