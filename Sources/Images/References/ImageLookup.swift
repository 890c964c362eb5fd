// Finding the image that a person names. Names of xCAT's images are long
// ("rhels8.5.0-x86_64-netboot-compute"), so a part that only one image has is enough.
//
// 1. An image's own name always means that image.
// 2. What was taken for a shorter name is said, in one line.
// 3. The name of a new image (`define`, `import`, `copy`), and that of one that loses snapshots (`remove`,
//    `forget`), is never guessed.

import Platform
import Store
import XCAT

extension Workspace {
  /// The image that a text means: its name, its profile, or a part of its name that no other image has.
  /// - Parameter text: empty for the only image.
  /// - Throws: `ImageError` (`usage`) for the name of a snapshot, and (`notFound`) where no image, or more
  ///   than one, is meant.
  func image(named text: String) throws -> ImageName {
    if Workspace.isPath(text) { return try image(at: text) }
    try requireNoSnapshot(text)
    let tables = try tables()
    let stored = try storeIfPresent()?.refs.images() ?? []
    if let image = try? ImageName(text),
      try stored.contains(image) || tables.definition(of: text) != nil
    {
      return image
    }
    let definitions = try tables.definitions()
    let known = Set(stored.map(\.text)).union(definitions.keys).sorted()
    if text.isEmpty { return try onlyImage(known) }
    let profiles = definitions.filter { $0.value.osimage["profile"] == text }.map(\.key).sorted()
    let parts = text.utf8.count < 3 ? [] : known.filter { $0.contains(text) }
    for candidates in [profiles, parts] where !candidates.isEmpty {
      guard candidates.count == 1, let only = candidates.first else {
        throw ImageError(
          .notFound, "image '\(text)'", "may be \(ImageLookup.list(candidates))",
          advice: "Write more of the name")
      }
      if saidNames.withLock({ $0.insert(text).inserted }) { mention("'\(text)' is image \(only)") }
      return try ImageName(only)
    }
    if let path = try? directoryPath("./\(text)"), let there = try statLive(path) {
      if let error = try namesPathInImage(path) { throw error }
      guard there.kind == .directory else { throw try notDefined(ImageName(text)) }
      throw ImageError(
        .notFound, "image '\(text)'", "is not there",
        advice: "To keep the directory of that name, write 'imgstore snapshot ./\(text)'")
    }
    let near = ImageLookup.near(text, known) { definitions[$0]?.osimage["profile"] }
    if near.isEmpty {
      throw try notDefined(ImageName(text))
    }
    throw ImageError(
      .notFound, "image '\(text)'", "is not defined, and has no snapshots",
      advice: "Is it \(ImageLookup.list(near))? 'imgstore images' lists all")
  }

  /// The image of that very name.
  /// - Throws: `ImageError` (`notFound`) where no image of that name has snapshots, naming the one that a command
  ///   which loses nothing would take.
  func image(exactly name: String) throws -> ImageName {
    if Workspace.isPath(name) { return try image(at: name) }
    try requireNoSnapshot(name)
    let refs = try store().refs
    if let image = try? ImageName(name), try !refs.numbers(of: image).isEmpty { return image }
    let candidates = try refs.images().map(\.text).filter { !name.isEmpty && $0.contains(name) }
    throw ImageError(
      .notFound, "image '\(name)'", "has no snapshots, and what is removed is not guessed",
      advice: candidates.isEmpty
        ? "'imgstore images' lists what there is"
        : "Write the whole name: \(ImageLookup.list(candidates))")
  }

  /// The image that lies at a path.
  private func image(at text: String) throws -> ImageName {
    let path = try directoryPath(text)
    if let owner = try directoryOwner(path) { return owner }
    if let error = try namesPathInImage(path) { throw error }
    guard try statLive(path)?.kind == .directory else {
      throw ImageError(
        .notFound, path.text, "is no directory, and no image",
        advice: "'imgstore images' lists what there is")
    }
    throw ImageError(
      .notFound, "directory \(path.text)", "is no image",
      advice: "'imgstore snapshot \(path.text)' keeps it; 'imgstore images' lists what there is")
  }

  /// The error for an image that no table has.
  func notDefined(_ image: ImageName) throws -> ImageError {
    guard try hasXCAT() else {
      return ImageError(
        .notFound, "image \(image)", "is not there",
        advice: "'imgstore add \(image) DIR' keeps a directory under that name")
    }
    return ImageError(
      .notFound, "image \(image)", "is not defined in the tables in \(try tables().place)",
      advice: "Define it with 'imgstore define \(image) provmethod=netboot rootimgdir=…', keep a "
        + "directory under that name with 'imgstore add \(image) DIR', or name other tables with "
        + "--xcat-dir")
  }

  /// - Throws: `ImageError` (`usage`) for "IMAGE@…" and "IMAGE:PATH".
  private func requireNoSnapshot(_ text: String) throws {
    guard text.contains(where: { $0 == "@" || $0 == ":" }) else { return }
    guard try Reference(text).selector == .latest else {
      throw ImageError(
        .usage, "reference '\(text)'", "names one snapshot, where an image is asked for",
        advice: "Write the image's name alone")
    }
  }

  private func onlyImage(_ known: [String]) throws -> ImageName {
    guard known.count == 1, let only = known.first else {
      throw ImageError(
        known.isEmpty ? .notFound : .usage, "the image",
        known.isEmpty
          ? "is not named, and there is none" : "is not named, and there are \(known.count)",
        advice: known.isEmpty
          ? try hasXCAT()
            ? "Define one with 'imgstore define NAME provmethod=netboot rootimgdir=…'"
            : "'imgstore snapshot DIR' keeps a directory"
          : "Name one of \(ImageLookup.list(known))")
    }
    return try ImageName(only)
  }
}

enum ImageLookup {
  private static let maxListed = 5

  /// "a, b or c"; of many the first.
  static func list(_ names: [String]) -> String {
    let shown = names.prefix(maxListed)
    if names.count > maxListed {
      return shown.joined(separator: ", ") + " or one of \(names.count - maxListed) others"
    }
    guard let last = shown.last, shown.count > 1 else { return shown.joined() }
    return shown.dropLast().joined(separator: ", ") + " or " + last
  }

  /// Names that differ by few letters, themselves or by their profiles, nearest first.
  static func near(
    _ text: String, _ names: [String], profile: (String) -> String?
  ) -> [String] {
    func distance(_ name: String) -> Int? {
      let short = profile(name) ?? name.split(separator: "-").last.map(String.init) ?? name
      return [name, short].filter { Spelling.isNear(text, $0) }
        .map { Spelling.distance(text, $0) }.min()
    }
    return names.compactMap { name in distance(name).map { (name: name, distance: $0) } }
      .sorted { ($0.distance, $0.name) < ($1.distance, $1.name) }.map(\.name)
  }
}
