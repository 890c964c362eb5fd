// The flags of open(2) that the seam supports.

/// The way to open a file; every file is opened close-on-exec.
public struct OpenFlags: OptionSet, Sendable {
  public let rawValue: Int
  public init(rawValue: Int) { self.rawValue = rawValue }
  public static let read = OpenFlags([])
  public static let write = OpenFlags(rawValue: 1)
  public static let readWrite = OpenFlags(rawValue: 2)
  public static let create = OpenFlags(rawValue: 4)
  public static let exclusive = OpenFlags(rawValue: 8)
  public static let truncate = OpenFlags(rawValue: 16)
  public static let directory = OpenFlags(rawValue: 32)
  /// Fails with ELOOP where the last component is a symbolic link.
  public static let noFollow = OpenFlags(rawValue: 64)
  /// Never waits for the other end of a fifo or a device.
  public static let nonBlocking = OpenFlags(rawValue: 128)
  /// Creates a file without a name, in the directory that the path names (O_TMPFILE). Closing it
  /// deletes it, unless it was given a name.
  public static let nameless = OpenFlags(rawValue: 256)
  /// Bypasses the page cache: offsets, lengths and memory are multiples of 4096.
  public static let direct = OpenFlags(rawValue: 512)
  /// Opens a handle of the file, of any kind, without access to its content (O_PATH).
  public static let handle = OpenFlags(rawValue: 1024)
  /// Writes go to the end of the file (O_APPEND).
  public static let append = OpenFlags(rawValue: 2048)
}
