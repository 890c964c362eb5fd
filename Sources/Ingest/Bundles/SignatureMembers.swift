// The members of a bundle that contain signatures: files in `complete/signatures/` of an image's
// directory. xCAT and older versions ignore them. They stay in memory, and the caller of the reader
// decides whether to trust them.

/// Receives an image's directory and its signature files, by name, before a file of the image is
/// read. Throws to stop reading.
public typealias SignatureGate =
  @Sendable (_ directory: String, _ files: [String: [UInt8]]) throws -> Void

/// Recognizes signature files.
enum SignatureMember {
  /// The maximum size of one file, which is a statement.
  static let maxBytes = 1 << 20
  /// The maximum number of files per image.
  static let maxFiles = 64
  private static let directories = ["complete", "signatures"]

  /// Returns the image's directory and the file's name, or nil for another member.
  static func locate(_ parts: [String]) -> (directory: String, file: String)? {
    switch parts.count {
    case 3 where Array(parts[..<2]) == directories: ("", parts[2])
    case 4 where Array(parts[1..<3]) == directories: (parts[0], parts[3])
    default: nil
    }
  }
}
