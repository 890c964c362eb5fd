// The first steps of a program, before it has threads or opens files.

import CLinux
import Glibc

/// Makes the process independent of the limits and streams that it was started with.
///
/// 1. Closed standard streams are opened, so that no file of the store gets one of their numbers.
/// 2. A file that reaches the size limit (ulimit -f) is an error (EFBIG), not a signal.
/// 3. The limit on open files is raised as far as the system allows.
/// 4. No program that is started inherits a file that was open before.
/// 5. The memory of a large buffer goes back to the system when it is freed.
public func prepareProcess() {
  clinux_fill_standard_streams()
  clinux_ignore_signal(SIGXFSZ)
  raiseFileLimit()
  clinux_close_on_exec(3)
  clinux_return_freed_memory()
}

/// Checks that entries can be reached through their descriptors (/proc/self/fd). Extended attributes
/// and modes cannot be read or set otherwise.
/// - Throws: `SystemError` (ENOSYS) if /proc is not mounted.
public func requireProc() throws(SystemError) {
  let path = Array("/proc/self/fd".utf8)
  guard try KernelFileSystem.shared.statIfPresent(at: -100, path) == nil else { return }
  throw SystemError(code: .notImplemented, "reach files by their descriptors", path)
}

/// Returns the program's name and arguments as the kernel passed them (`CommandLine.arguments` needs
/// /proc). An argument that is not UTF-8 is returned in the form of `printable`, which REF:PATH accepts.
public func programArguments() -> [String] {
  (0..<clinux_argument_count()).compactMap { index in
    clinux_argument(index).map { pointer in
      String(validatingCString: pointer)
        ?? printable(
          UnsafeBufferPointer(start: pointer, count: strlen(pointer)).map(UInt8.init(bitPattern:)))
    }
  }
}

/// Returns the arguments as the kernel passed them, with the program's name.
public func programArgumentBytes() -> [[UInt8]] {
  (0..<clinux_argument_count()).compactMap { index in
    clinux_argument(index).map { pointer in
      UnsafeBufferPointer(start: pointer, count: strlen(pointer)).map(UInt8.init(bitPattern:))
    }
  }
}
