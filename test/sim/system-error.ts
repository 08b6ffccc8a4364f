/** Errors as the operating system reports them: a POSIX code, the call, and where. */

export class SystemError extends Error {
  override readonly name = "SystemError";
  readonly code: string;
  readonly syscall: string;
  readonly where: string;

  constructor(code: string, syscall: string, where: string) {
    super(`${code}: simulated, ${syscall} '${where}'`);
    this.code = code;
    this.syscall = syscall;
    this.where = where;
  }
}

/**
 * Thrown out of every port call of a simulated process that was killed. It has no `code`, so nothing that handles errors
 * of the system takes it for one of them.
 */
export class ProcessKilled extends Error {
  override readonly name = "ProcessKilled";

  constructor(processName: string) {
    super(`the simulated process "${processName}" was killed`);
  }
}
