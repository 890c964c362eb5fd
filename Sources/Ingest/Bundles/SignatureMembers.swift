// The members of a bundle that hold signatures: files in `complete/signatures/` of an image's folder, which
// xCAT and older programs pass over. They stay in memory; who reads the bundle decides what they are worth.

/// Is given an image's folder and its signature files, by name, before a file of the image is read.
/// It throws to end the reading.
public typealias SignatureGate =
  @Sendable (_ folder: String, _ files: [String: [UInt8]]) throws -> Void

enum SignatureMember {
  /// Of one file: a statement.
  static let maxBytes = 1 << 20
  /// Of one image.
  static let maxFiles = 64
  private static let folders = ["complete", "signatures"]

  /// The image's folder and the file's name; nil for another member.
  static func place(_ parts: [String]) -> (folder: String, file: String)? {
    switch parts.count {
    case 3 where Array(parts[..<2]) == folders: ("", parts[2])
    case 4 where Array(parts[1..<3]) == folders: (parts[0], parts[3])
    default: nil
    }
  }
}
