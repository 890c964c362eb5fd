// Answers on threads whose stack holds the deepest trees.
//
// 1. Trees may be two thousand levels deep, and the code that walks them recurses. The threads of the server have
//    the usual stack, and one deep tree would end the program.

import HTTPServer
import Platform

/// Makes answers on threads of their own, with a large stack.
enum DeepStack {
  /// Returns the result of `body`.
  /// - Throws: the error of `body`; `SystemError` (EAGAIN) if the system refuses the thread.
  static func answer(_ body: @escaping @Sendable () throws -> HTTPResponse) throws -> HTTPResponse {
    let result = Monitor<HTTPResponse?>(nil)
    try runThreads(1) { _ in
      let response = try body()
      result.withLock { $0 = response }
    }
    return result.withLock { $0 } ?? .text(.internalError, "the request failed")
  }
}
