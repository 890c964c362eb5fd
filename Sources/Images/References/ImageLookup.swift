// Finds the image that a person names. xCAT's image names are long ("rhels8.5.0-x86_64-netboot-compute"), so
// a part of a name is enough if only one image has it.
//
// 1. An image's full name always means that image.
// 2. The first use of a shorter name prints one line with the full name.
// 3. Staged snapshots are found by their full names only: they have the profile of their image, and begin with its name.
// 4. Two kinds of names are never guessed: those of new images (`define`, `import`, `copy`), and those of
//    images that lose snapshots (`remove`, `forget`).

import Codec
import Platform
import Store
import XCAT

extension Workspace {
  /// Returns the name of the only image.
  /// - Throws: `ImageError` (`notFound`) if there is none, and (`usage`) if there are several.
  public func onlyImage() throws -> String {
    try ImageResolver(context).onlyImage()
  }
}

/// Resolves names of images.
struct ImageResolver: Collaborator {
  let context: Context

  /// Returns the image that a text names: by its name, by its profile, or by a part that only its name has.
  /// - Parameters:
  ///   - text: the name, or a path. Empty for the only image.
  ///   - mayAdd: whether the user may want to add an image of that name, for the hint.
  /// - Throws: `ImageError`: `invalidReference` for a reference to a snapshot, `imageNotFound` if no image
  ///   matches, `imageAmbiguous` if several do.
  func image(named text: String, mayAdd: Bool = false) throws -> ImageName {
    if DirectoryImages.isPath(text) { return try image(at: text) }
    try requireNoSnapshot(text)
    let tables = try context.tables()
    let stored = try context.storeIfPresent()?.refs.images() ?? []
    if let image = try? ImageName(text),
      try stored.contains(image) || tables.definition(of: text) != nil
    {
      return image
    }
    let all = try tables.definitions()
    let staged = try StagedImages(all) { try context.installDirectory(tables) }.names
    let definitions = all.filter { !staged.contains($0.key) }
    let known = Set(stored.map(\.text)).union(definitions.keys).sorted()
    if text.isEmpty { return try onlyImage(known) }
    let profiles = definitions.filter { $0.value.profile == text }.map(\.key).sorted()
    let parts = text.utf8.count < 3 ? [] : known.filter { $0.contains(text) }
    // A match of a name's last part, after a hyphen, has priority. A new image with a longer name then does
    // not make a short name ambiguous.
    let ends = parts.filter { $0.hasSuffix("-" + text) }
    if let candidates = [profiles, ends, parts].first(where: { !$0.isEmpty }) {
      guard candidates.count == 1, let only = candidates.first else {
        throw ImageError(
          .imageAmbiguous, "image '\(text)'", "is ambiguous: \(ImageLookup.list(candidates))",
          hint: "Write more of the name")
      }
      if context.reporter.isFirstTime(text) {
        context.reporter.inform("'\(text)' is image \(only)")
      }
      return try ImageName(only)
    }
    throw try unknown(text, known, stored, definitions, mayAdd: mayAdd)
  }

  /// Returns the error for a text that means no image, with a hint at what it may mean.
  private func unknown(
    _ text: String, _ known: [String], _ stored: [ImageName],
    _ definitions: [String: ImageDefinition], mayAdd: Bool
  ) throws -> ImageError {
    func missing(_ hint: String) -> ImageError {
      ImageError(.imageNotFound, "image '\(text)'", "does not exist", hint: hint)
    }
    if let path = try? DirectoryImages(context).directoryPath("./\(text)"),
      let there = try ImageCapturer(context).statLive(path)
    {
      if let error = try DirectoryChecks(context).namesPathInImage(path) { return error }
      guard there.kind == .directory else {
        return try notDefined(ImageName(text), mayAdd: mayAdd || known.isEmpty)
      }
      return missing(
        "To snapshot the directory of that name, run 'imgstore snapshot \(shellQuoted("./" + text))'"
      )
    }
    if let hint = ImageLookup.hint(forGitReference: text, known) { return missing(hint) }
    let near = ImageLookup.near(text, known) { definitions[$0]?.profile ?? "" }
    if near.isEmpty {
      let meant = try snapshots(named: text, of: stored)
      if !meant.isEmpty {
        return missing("Did you mean snapshot \(ImageLookup.list(meant))?")
      }
      if let hint = try? hint(forUnknown: text, known, stored) { return missing(hint) }
      return try notDefined(ImageName(text), mayAdd: mayAdd || known.isEmpty)
    }
    return ImageError(
      .imageNotFound, "image '\(text)'", "is not defined, and has no snapshots",
      hint: "Did you mean \(ImageLookup.list(near))? 'imgstore images' lists all images")
  }

  /// Returns a hint for a text that is not the name of an image, but may be the start of an id or a very
  /// short part of a name.
  private func hint(
    forUnknown text: String, _ known: [String], _ stored: [ImageName]
  ) throws -> String? {
    let parts = text.isEmpty ? [] : known.filter { $0.contains(text) }
    if !parts.isEmpty {
      return "Did you mean \(ImageLookup.list(parts))? A part of a name needs three characters"
    }
    guard (3...5).contains(text.utf8.count),
      text.lowercased().utf8.allSatisfy({ hexValue($0) != nil })
    else { return nil }
    let refs = try context.store().refs
    let isID = try stored.contains { image in
      try refs.numbers(of: image).contains {
        try refs.readIfPresent(image, $0)?.id.hex.hasPrefix(text.lowercased()) == true
      }
    }
    return isID ? "An id needs six or more digits" : nil
  }

  func onlyImage() throws -> String { try image(named: "").text }

  /// Returns the image with exactly that name.
  /// - Throws: `ImageError` (`imageNotFound`) if no image of that name has snapshots. The hint lists the
  ///   images whose names contain the text.
  func image(exactly name: String) throws -> ImageName {
    if DirectoryImages.isPath(name) { return try image(at: name) }
    try requireNoSnapshot(name)
    let refs = try context.store().refs
    if let image = try? ImageName(name), try !refs.numbers(of: image).isEmpty { return image }
    let candidates = try refs.images().map(\.text).filter { !name.isEmpty && $0.contains(name) }
    throw ImageError(
      .imageNotFound, "image '\(name)'",
      "does not exist, and this command does not accept short names",
      hint: candidates.isEmpty
        ? "'imgstore images' lists all images"
        : "Write the full name: \(ImageLookup.list(candidates))")
  }

  /// Returns the references that the text completes: as a tag of an image, or as a number of the only image.
  private func snapshots(named text: String, of images: [ImageName]) throws -> [String] {
    let refs = try context.store().refs
    if let number = Int(text), number > 0, images.count == 1, let only = images.first {
      return try refs.numbers(of: only).contains(number) ? ["\(only)@\(number)"] : []
    }
    return try images.filter { try refs.tags(of: $0)[text] != nil }.map { "\($0)@\(text)" }
  }

  /// Returns the image whose directory is at a path.
  /// - Throws: `ImageError` (`imageNotFound`) if there is none.
  private func image(at text: String) throws -> ImageName {
    let path = try DirectoryImages(context).directoryPath(text)
    if let owner = try DirectoryImages(context).directoryOwner(path) { return owner }
    if let error = try DirectoryChecks(context).namesPathInImage(path) { throw error }
    guard try ImageCapturer(context).statLive(path)?.kind == .directory else {
      let stored = try context.storeIfPresent()?.refs.images() ?? []
      let name = stored.count == 1 ? stored[0].text : "IMAGE"
      throw ImageError(
        .imageNotFound, path.text, "is neither a directory nor an image",
        hint: text.hasPrefix("/")
          ? "'imgstore images' lists all images"
          : "For a path in an image, write \(shellQuoted("\(name):\(text)")); 'imgstore images' lists all "
            + "images")
    }
    throw ImageError(
      .imageNotFound, "directory \(path.text)", "is not an image",
      hint:
        "To snapshot it, run 'imgstore snapshot \(shellQuoted(path.text))'; 'imgstore images' lists all images"
    )
  }

  /// Returns the error for an image that no table defines.
  /// - Parameter mayAdd: whether the hint says how to add it.
  func notDefined(_ image: ImageName, mayAdd: Bool = false) throws -> ImageError {
    if (try? context.storeIfPresent()?.refs.numbers(of: image).isEmpty) == false {
      return ImageError(
        .imageNotFound, "image \(image)", "has snapshots, but is no longer defined",
        hint: "'imgstore add \(shellQuoted(image.text)) DIR' makes a directory this image again"
          + (try TableLocator(context).hasXCAT()
            ? "; 'imgstore define' defines it in xCAT's tables" : ""))
    }
    guard try TableLocator(context).hasXCAT() else {
      return ImageError(
        .imageNotFound, "image \(image)", "does not exist",
        hint: mayAdd
          ? "To snapshot a directory under that name, run 'imgstore add \(image) DIR'"
          : "'imgstore images' lists all images")
    }
    return ImageError(
      .imageNotFound, "image \(image)",
      "is not defined in the tables in \(try context.tables().location)",
      hint: !mayAdd
        ? "'imgstore images' lists all images; --xcat-dir names other tables"
        : "Define it with 'imgstore define \(image) provmethod=netboot rootimgdir=…', snapshot a "
          + "directory under that name with 'imgstore add \(image) DIR', or name other tables with "
          + "--xcat-dir")
  }

  /// Rejects references to snapshots and paths.
  /// - Throws: `ImageError` (`invalidReference`) for "IMAGE@…" and "IMAGE:PATH".
  private func requireNoSnapshot(_ text: String) throws {
    guard text.contains(where: { $0 == "@" || $0 == ":" }) else { return }
    guard try Reference(text).selector == .latest else {
      throw ImageError(
        .invalidReference, "reference '\(text)'",
        "names a snapshot, but the command takes an image",
        hint: "Write only the name of the image")
    }
  }

  private func onlyImage(_ known: [String]) throws -> ImageName {
    guard known.count == 1, let only = known.first else {
      throw ImageError(
        known.isEmpty ? .notFound : .usage, known.isEmpty ? "the store" : "the command",
        known.isEmpty ? "has no image" : "names no image, and there are \(known.count)",
        hint: known.isEmpty
          ? try TableLocator(context).hasXCAT()
            ? "Define one with 'imgstore define NAME provmethod=netboot rootimgdir=…'"
            : "To snapshot a directory, run 'imgstore snapshot DIR'"
          : "Name one of \(ImageLookup.list(known))")
    }
    return try ImageName(only)
  }
}

enum ImageLookup {
  private static let maxListed = 5

  /// Returns a list of names like "a, b or c". A long list is cut after `maxListed` names.
  static func list(_ names: [String]) -> String {
    let shown = names.prefix(maxListed)
    if names.count > maxListed {
      return shown.joined(separator: ", ") + " or one of \(names.count - maxListed) others"
    }
    guard let last = shown.last, shown.count > 1 else { return shown.joined() }
    return shown.dropLast().joined(separator: ", ") + " or " + last
  }

  /// Returns a hint for a reference as git writes it, such as HEAD~1; nil for other texts.
  static func hint(forGitReference text: String, _ names: [String]) -> String? {
    let name = text.prefix { $0 != "~" && $0 != "^" }
    if text == "@" || name.uppercased() == "HEAD" {
      return "The latest snapshot is IMAGE@latest, and the one before it IMAGE@~1"
    }
    guard name.count < text.count, names.contains(String(name)) else { return nil }
    return "The snapshot before the latest is \(name)@~1"
  }

  /// Returns the names that differ from a text in few letters, nearest first. Profiles count as names, too.
  static func near(
    _ text: String, _ names: [String], profile: (String) -> String
  ) -> [String] {
    func distance(_ name: String) -> Int? {
      let own = profile(name)
      let short = own.isEmpty ? name.split(separator: "-").last.map(String.init) ?? name : own
      return [name, short].filter { Spelling.isNear(text, $0) }
        .map { Spelling.distance(text, $0) }.min()
    }
    return names.compactMap { name in distance(name).map { (name: name, distance: $0) } }
      .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.map(\.name)
  }
}
