// Errors on their way out of `run`.
//
// Of an `Error` that is thrown there the host gets the message and nothing else. For a complaint that is right; of a mistake
// in the program, its author needs to know the kind and the place as well.

/** What a plugin has to say to its user: no mistake of the program. */
export class Complaint extends Error {}

/** The same function, whose mistakes come with their kind and trace. */
export function traced(work) {
  return (...args) => {
    try {
      return work(...args);
    } catch (error) {
      if (error instanceof Error && !(error instanceof Complaint)) {
        // An own property of this name is what the host is given.
        error.payload = `${error}\n${error.stack}`.trimEnd();
      }
      throw error;
    }
  };
}
