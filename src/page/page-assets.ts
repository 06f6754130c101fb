/** The files that a browser gets, as text. */
export interface PageAssets {
  readonly html: string
  readonly style: string
  readonly script: string
  readonly icon: string
}
