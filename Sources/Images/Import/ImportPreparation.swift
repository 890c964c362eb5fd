// Prepares the images of a bundle for placement. It checks everything, and changes nothing on the machine.

import Glibc
import Ingest
import Platform
import Store
import XCAT

/// Prepares the images of one bundle.
struct ImportPreparation {
  let context: Context
  let request: ImportRequest
  let session: WriteSession
  let targets: ImportTargets
  let tables: any TableBackend

  init(_ context: Context, _ request: ImportRequest, _ session: WriteSession) throws {
    self.context = context
    self.request = request
    self.session = session
    targets = try ImportTargets(context, request)
    tables = try context.tables()
  }

  /// Validates the images of the bundle together.
  /// - Throws: `BundleError`, `XCATError` or `ImageError` for faults of the bundle, and for effects that this
  ///   site does not allow.
  func prepare(_ images: [BundledImage]) throws -> [PreparedImage] {
    if request.name != nil, images.count > 1 {
      throw ImageError(
        .bundleInvalid,
        "bundle \(request.bundle)", "holds \(images.count) images, but --name names one",
        hint: "Import it without --name; 'imgstore copy' gives one of them another name")
    }
    let prepared = try images.map(prepare)
    var owners: [[UInt8]: (image: String, component: Snapshot.Component)] = [:]
    var names: Set<String> = []
    for image in prepared {
      guard names.insert(image.image.text).inserted else {
        throw BundleError(whole: "holds the image \(image.image) more than once")
      }
      for component in image.components {
        if let other = owners[component.path],
          other.component.entry.content != component.entry.content
        {
          throw BundleError(
            printable(component.path),
            "has one content in the image \(other.image) and another in "
              + "\(image.image)", hint: "Import the images from bundles of their own")
        }
        owners[component.path] = (image.image.text, component)
      }
    }
    return prepared
  }

  /// Checks that the request allows all replacements: of an existing image, of files of other images and of
  /// files of the site.
  /// - Throws: `ImageError` if it does not.
  func checkMayReplace(_ prepared: PreparedImage) throws {
    if request.replaces { return }
    let image = prepared.image
    try refuseForeignTargets(prepared)
    guard try tables.definition(of: image.text) == nil else {
      throw ImageError(
        .alreadyExists,
        "image \(image)", "is defined already",
        hint: prepared.definition.isDirectory
          ? "Give it another name and place with --name NAME --to DIR, or replace it with --force; "
            + "'imgstore revert' restores the replaced image"
          : "Import under another profile (-f), which has its own directory, or replace it with "
            + "--force; 'imgstore revert' restores the replaced image")
    }
    try prepared.siteReplacements.refuse()
  }

  // MARK: One image

  private func prepare(_ bundled: BundledImage) throws -> PreparedImage {
    let manifest = try Manifest.parse(bundled.manifest)
    try manifest.refuseHarmfulText(allowsUnsafeValues: request.allowsUnsafeValues)
    var renamed = manifest
    if let directory = targets.directory {
      guard !manifest.directory.isEmpty else {
        throw ImageError(
          .usage, "--to", "is for images that are directories, but \(manifest.imageName) is not",
          hint: "Import it under another profile with -f, which has its own directory")
      }
      renamed.move(to: directory)
    }
    try targets.refuseForeignPaths(renamed)
    if let profile = request.profile {
      guard manifest.directory.isEmpty else {
        throw ImageError(
          .usage, "-f", "names a profile, but a directory has no profile",
          hint: "Give the image another name with --name, and another place with --to")
      }
      renamed = try ProfileRename.apply(
        manifest, to: profile, installDirectory: targets.install)
    }
    if let name = request.name {
      renamed.rename(to: name)
    }
    let image = try ImageName(renamed.imageName)
    try DefinitionTextReader(context).requirePlain(image, tables)
    try refuseForeignRepositories(renamed)
    let layout = try BundleLayout(
      reading: manifest, renamed: renamed, installDirectory: targets.install,
      isDirectory: bundled.isDirectory)
    try checkMedia(renamed)
    var placer = BundleMemberPlacer(self, bundled)
    for member in layout.members { try placer.place(member) }
    for kit in layout.members where kit.role == .kit { try placer.placeKit(kit) }
    try placer.finish(layout)
    var facts = BundleFacts()
    for key in ["postscripts", "postbootscripts"] { facts.values[key] = renamed.values[key] }
    facts.extras = renamed.extras
    facts.extraMembers = placer.extraMembers
    facts.origin = bundled.facts
    return PreparedImage(
      image: image, definition: renamed.definition, components: placer.components,
      keepExistingPaths: placer.keepExistingPaths,
      rows: try ImportRowChanges(renamed, litefile: bundled.litefile, self), facts: facts,
      entryCount: placer.entryCount, treeBytes: placer.treeBytes,
      remarks: placer.remarks + Self.remarks(on: renamed), notes: placer.notes)
  }

  /// Returns remarks on rows that the definition names in tables that bundles do not contain.
  private static func remarks(on manifest: Manifest) -> [String] {
    guard let target = manifest.bootTarget else { return [] }
    return [
      "boottarget names the row '\(printable(target.utf8.prefix(255)))' of the table boottarget, "
        + "which no bundle holds: copy it with tabdump and tabrestore"
    ]
  }

  /// Checks that this site has the distribution's media, which an install image needs and no bundle holds.
  ///
  /// Unlike xCAT, it also accepts a directory of `pkgdir` (docs/xcat-contract.md#media-check).
  private func checkMedia(_ manifest: Manifest) throws {
    guard manifest.values["media"] == "required" else { return }
    let definition = manifest.definition
    var directories = [
      targets.install.appending(definition.osVersion).appending(definition.architecture)
    ]
    directories += definition.packageDirectories.compactMap { AbsolutePath(String($0)) }
    for directory in directories
    where try ImageCapturer(context).statLive(directory)?.kind == .directory {
      return
    }
    throw ImageError.sentence(
      .notFound,
      "This image requires that you first copy media for "
        + "\(definition.osVersion)-\(definition.architecture)",
      hint: "Run copycds with the distribution's ISO, so that \(directories[0].text) exists")
  }

  /// Checks that the import overwrites no file of another image: no file in its directory, and no file that
  /// its definition names. A named file with equal content is allowed.
  private func refuseForeignTargets(_ prepared: PreparedImage) throws {
    let others = try tables.definitions().filter { $0.key != prepared.image.text }
    for (other, definition) in others.sorted(by: { $0.key < $1.key }) {
      let directories = [
        ImageFiles.bootDirectory(definition, installDirectory: targets.install),
        ImageFiles.rawDirectory(definition, installDirectory: targets.install),
        definition.directoryPath,
      ].compactMap { $0 }
      let named = Set(
        try ImageCapturer(context).imageFiles(definition, targets.install).filter(\.isNamed).map(
          \.path))
      for component in prepared.components
      where !prepared.keepExistingPaths.contains(component.path) {
        guard let path = AbsolutePath(component.path) else { continue }
        let isInDirectory = directories.contains { path.isInside($0) }
        guard
          try isInDirectory
            || (named.contains(path) && SnapshotExcludes(context).differs(component, at: path))
        else {
          continue
        }
        throw ImageError(
          .alreadyExists, path.text,
          "belongs to the image \(other), and the import would overwrite it",
          hint: "Import under another profile (-f), which has its own directory and lists; "
            + "--force overwrites it, and snapshots the old file first")
      }
    }
  }

  /// Completes an image with facts that need the stored bundle: its excludes, privileged entries and
  /// replacements.
  /// - Throws: `ImageError` if a tree gives privileges that the request does not allow.
  func inspect(_ prepared: PreparedImage) throws -> PreparedImage {
    var image = prepared
    let store = try context.store()
    image.excludes = try excludes(of: image, store)
    image.privileged = try PrivilegedEntries(
      store: store,
      state: ImageState(
        name: image.image.text, definition: image.definition, rows: TableRowSet(),
        components: image.components, source: store, notes: [])
    ).find()
    if !request.allowsPrivileged { try image.privileged.refuseUnexpected() }
    image.siteReplacements = try SiteReplacements(
      context: context, install: targets.install, tables: tables
    ).find(image)
    return image
  }

  /// Returns the patterns that exclude parts of a directory image, from its definition and from the list in
  /// its tree.
  /// - Throws: `BundleError` for an invalid list, and for one that excludes an entry of the bundle. No export
  ///   writes such a list, and it would prevent an undo from removing the entry.
  private func excludes(
    of prepared: PreparedImage, _ store: ObjectStore
  ) throws -> [[String]] {
    guard prepared.definition.isDirectory,
      let tree = prepared.components.first(where: { $0.role == .rootTree })?.entry
    else { return [] }
    func refuse(_ reason: String) -> BundleError {
      BundleError(
        "the excludes of \(prepared.image)", reason,
        hint: "Nothing was imported; do not trust this bundle")
    }
    do {
      let lists = [
        try ExcludePatterns(prepared.definition.excludes),
        try ExcludePatterns(DirectoryExcludes(context).ignoreFile(in: tree, store)),
      ].filter { !$0.isEmpty }
      for list in lists {
        if let path = try DirectoryExcludes(context).firstEntry(in: tree, excludedBy: list) {
          throw refuse("exclude \(printable(path.bytes.prefix(255))), which is in the bundle")
        }
      }
      return lists.map(\.lines)
    } catch let error as ExcludePattern.SyntaxError {
      throw refuse("cannot be used: \(error.reason)")
    }
  }
}

/// Compares components of a bundle with the live image.
struct SnapshotExcludes: Collaborator {
  let context: Context

  /// Returns whether the live entry at a path has another content than a component. If the live entry is a
  /// link, its target counts, too. An absent entry does not differ.
  func differs(_ component: Snapshot.Component, at path: AbsolutePath) throws -> Bool {
    let live = try StoreProtection(context).newCapture().run(
      [CaptureRoot(role: component.role, path: path)], cache: nil,
      into: .memory(MemoryObjects(over: try context.store())))
    guard let current = live.components.component(at: path.bytes) else { return false }
    return current.entry.content != component.entry.content
      && live.components.followed(current)?.entry.content != component.entry.content
  }
}
