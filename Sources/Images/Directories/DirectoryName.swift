// Proposes image names for directories whose own names are not valid for an image.

/// The name of a directory.
enum DirectoryName {
  /// Returns a valid name that resembles a text: other characters become hyphens.
  static func proposal(for text: String) -> String {
    let allowed = text.unicodeScalars.map { scalar -> Character in
      switch scalar {
      case "a"..."z", "A"..."Z", "0"..."9", ".", "_", "-": Character(scalar)
      default: "-"
      }
    }
    let name = String(allowed).split(separator: "-").joined(separator: "-")
    return name.isEmpty || name.first == "." ? "NAME" : String(name.prefix(64))
  }
}
