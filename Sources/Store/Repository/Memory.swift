// Memory comparison (memcmp), which the standard library lacks.

import Glibc

/// Compares two blocks of memory like memcmp(3).
func compareMemory(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Int32 {
  memcmp(a, b, count)
}
