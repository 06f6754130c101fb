/** Promises what a picture consists of, whoever draws it. */

export interface Line {
  readonly name: string
  readonly colour: string
  /** The one that the picture is about. */
  readonly isOurs: boolean
  readonly points: readonly (readonly [x: number, y: number])[]
}

export interface Panel {
  /** What is drawn upwards, with its unit. */
  readonly title: string
  readonly lines: readonly Line[]
}

export interface LineChart {
  readonly title: string
  /** What is drawn to the right. */
  readonly axis: string
  /** Side by side. */
  readonly panels: readonly Panel[]
}
