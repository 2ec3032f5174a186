/** A mistake of the person at the keyboard or of the machine: printed as one line, exit code 1, no stack. */
export class Complaint extends Error {
  readonly exitCode: number;
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
