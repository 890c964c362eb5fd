// The mount points that the administrator has configured (fstab(5)).

/// The parsed file /etc/fstab.
public struct FileSystemTable: Sendable {
  /// The mount points, except "/" and entries without one (swap).
  public let points: [AbsolutePath]

  /// Parses the text; ignores comments and malformed lines.
  public init(parsing text: [UInt8]) {
    points = text.split(separator: 0x0a).compactMap { line in
      let fields = line.split { $0 == 0x20 || $0 == 0x09 }
      guard fields.count > 2, fields[0].first != UInt8(ascii: "#"),
        let point = AbsolutePath(unescapedOctal(fields[1])), !point.components.isEmpty
      else { return nil }
      return point
    }
  }

  /// Returns the mount points that are the path or contain it.
  public func points(above path: AbsolutePath) -> [AbsolutePath] {
    points.filter { path.isInside($0) }
  }
}
