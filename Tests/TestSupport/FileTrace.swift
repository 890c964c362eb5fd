// A record of file operations, for tests of their order.

import Foundation
import Platform

/// The operations of a `FaultyFileSystem` in the order in which they took effect. A sync is recorded when it has ended,
/// any other operation when it begins.
public final class FileTrace: Sendable {
  /// One operation, with the absolute path that it concerns.
  public struct Operation: Sendable, CustomStringConvertible {
    public let name: String
    public let path: String
    public var description: String { "\(name) \(path)" }
  }

  private let recorded = Monitor<[Operation]>([])
  /// Is asked before each sync of a file system for a state that no operation shows, such as that of a table.
  private let probe: @Sendable () -> String

  /// - Parameter probe: must not wait for a lock that the traced command holds.
  public init(probe: @escaping @Sendable () -> String = { "" }) { self.probe = probe }

  /// The operations. A change of the probed state stands before the operation that first saw it.
  public var operations: [Operation] { recorded.withLock { $0 } }

  func add(_ name: String, at directory: Int32, _ path: [UInt8]) {
    let text = String(decoding: path, as: UTF8.self)
    append(name, text.hasPrefix("/") ? text : "\(FileTrace.path(of: directory))/\(text)")
  }

  func add(_ name: String, _ file: Int32) { append(name, FileTrace.path(of: file)) }

  private func append(_ name: String, _ path: String) {
    let state = name == "syncFileSystem" || name == "remove" ? probe() : nil
    recorded.withLock { operations in
      if let state, operations.last(where: { $0.name == "state" })?.path ?? "" != state {
        operations.append(Operation(name: "state", path: state))
      }
      operations.append(Operation(name: name, path: path))
    }
  }

  private static func path(of file: Int32) -> String {
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\(file)")) ?? ""
  }
}
