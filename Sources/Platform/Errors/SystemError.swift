// A failed system call as a value. Only the error numbers that some code checks have names.

import Glibc

/// A failed system call: the call, the path, and the errno value.
public struct SystemError: Error, Sendable, Equatable {
  /// An errno value.
  public struct Code: RawRepresentable, Hashable, Sendable {
    public let rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }
    public static let notPermitted = Code(rawValue: 1)
    public static let notFound = Code(rawValue: 2)
    public static let inputOutput = Code(rawValue: 5)
    public static let tryAgain = Code(rawValue: 11)
    public static let outOfMemory = Code(rawValue: 12)
    public static let accessDenied = Code(rawValue: 13)
    public static let busy = Code(rawValue: 16)
    public static let exists = Code(rawValue: 17)
    public static let crossDevice = Code(rawValue: 18)
    public static let notDirectory = Code(rawValue: 20)
    public static let isDirectory = Code(rawValue: 21)
    public static let invalid = Code(rawValue: 22)
    public static let tooManyOpenFilesInSystem = Code(rawValue: 23)
    public static let tooManyOpenFiles = Code(rawValue: 24)
    /// ENOTTY: the device or file system does not support the request.
    public static let notTerminal = Code(rawValue: 25)
    public static let tooLarge = Code(rawValue: 27)
    public static let noSpace = Code(rawValue: 28)
    public static let readOnly = Code(rawValue: 30)
    public static let tooManyLinks = Code(rawValue: 31)
    public static let notEmpty = Code(rawValue: 39)
    public static let notImplemented = Code(rawValue: 38)
    public static let loop = Code(rawValue: 40)
    public static let notSupported = Code(rawValue: 95)
    /// EOVERFLOW: a value, such as the number of an owner, does not fit.
    public static let overflow = Code(rawValue: 75)
    public static let quota = Code(rawValue: 122)
  }

  /// The errno value.
  public let code: Code
  /// The call, as people know it: "open", "rename" …
  public let operation: String
  /// The path that the call was given; often relative to a directory that the caller knows.
  public let path: [UInt8]

  /// Creates an error.
  public init(code: Code, _ operation: String, _ path: [UInt8]) {
    self.code = code
    self.operation = operation
    self.path = path
  }

  /// Whether the path, or a directory on the way to it, does not exist.
  public var isAbsent: Bool { code == .notFound || code == .notDirectory }
  /// Whether a resource ran out (descriptors, memory, threads), or /proc is missing. The error then
  /// says nothing about the path: every other path would fail in the same way.
  public var isExhaustion: Bool {
    [.tooManyOpenFiles, .tooManyOpenFilesInSystem, .outOfMemory, .tryAgain, .notImplemented]
      .contains(code)
  }
  /// Whether the location cannot be written: the file system is read-only, or access is denied.
  public var isReadOnly: Bool {
    code == .readOnly || code == .accessDenied || code == .notPermitted
  }
  /// Whether the file system or the quota is full.
  public var isOutOfSpace: Bool { code == .noSpace || code == .quota }
}

extension SystemError: CustomStringConvertible {
  public var description: String {
    let what = path.isEmpty ? operation : "\(operation) \(printable(path))"
    return "\(what): \(code)"
  }
}

extension SystemError.Code: CustomStringConvertible {
  /// The message from the C library, without its locale-dependent buffer.
  public var description: String {
    var buffer = [CChar](repeating: 0, count: 128)
    guard strerror_r(rawValue, &buffer, buffer.count) == 0 else { return "error \(rawValue)" }
    let bytes = buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    return String(decoding: bytes, as: UTF8.self)
  }
}
