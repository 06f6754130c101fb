/** What a connection tells of itself. */

/** Which server answers from now on: the first one, the same as before, or another, which may have other data. */
export type Arrival = 'first' | 'same' | 'other'

export interface ConnectionEvents {
  /** Requests can be sent from now on. */
  usable: [arrival: Arrival]
  /** None can. */
  unusable: []
  /** An attempt to connect has failed. */
  failed: []
  /** A fault that has not been told since the connection last worked. */
  fault: [error: Error]
}
