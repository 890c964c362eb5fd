// The mount points that the administrator has written down (fstab(5)).

/// The file /etc/fstab, parsed.
public struct FileSystemTable: Sendable {
  /// Without "/", and without what is mounted nowhere (swap).
  public let points: [AbsolutePath]

  /// Parses the text; lines that are comments or none of the form count as absent.
  public init(parsing text: [UInt8]) {
    points = text.split(separator: 0x0a).compactMap { line in
      let fields = line.split { $0 == 0x20 || $0 == 0x09 }
      guard fields.count > 2, fields[0].first != UInt8(ascii: "#"),
        let point = AbsolutePath(unescapedOctal(fields[1])), !point.components.isEmpty
      else { return nil }
      return point
    }
  }

  /// Returns the mount points that a path is, or lies in.
  public func points(above path: AbsolutePath) -> [AbsolutePath] {
    points.filter { path.isInside($0) }
  }
}
