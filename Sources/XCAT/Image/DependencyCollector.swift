// Collects the dependencies of an image: one function per attribute of the definition, on top of a few
// common rules.

import Platform
import Store

/// The dependencies collected so far.
struct DependencyCollector {
  static let maxNeeded = 100_000
  static let maxProblems = 1000
  static let maxListBytes = 16 << 20

  private(set) var needed: [Dependency] = []
  private(set) var problems: [DependencyProblem] = []

  let definition: ImageDefinition
  let installDirectory: AbsolutePath
  let view: FileProvider
  /// The variables for names in lists: osimage.environvar, and those that xcatd always has.
  let variables: [String: String]
  /// The paths to skip: those that imgexport takes, and those already in `needed`.
  private var known: Set<AbsolutePath> = []
  private var isFull = false
  private var reported: Set<String> = []

  init(_ definition: ImageDefinition, installDirectory: AbsolutePath, view: FileProvider) {
    self.definition = definition
    self.installDirectory = installDirectory
    self.view = view
    var variables = [
      "XCATROOT": ImageDependencies.xcatRoot.text, "INSTALLDIR": installDirectory.text,
    ]
    for item in definition.environmentItems {
      let parts = item.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { continue }
      variables[trimmedText(parts[0])] = trimmedText(parts[1])
    }
    self.variables = variables
    known = Set(definition.exportedPaths)
  }

  mutating func collect() {
    collectBootDirectory()
    for attribute in ["kerneldir", "cfmdir"] { collectDirectory(attribute) }
    collectIncludes()
    collectPartitionFiles()
    collectDrivers()
    collectPostinstall()
    collectScripts("postscripts", role: .postscript)
    collectScripts("postbootscripts", role: .postbootscript)
    for path in paths(of: "synclists") { collectSources(ofSynclist: path) }
  }

  // MARK: Attributes

  func items(of attribute: String) -> [String] { definition.trimmedItems(of: attribute) }

  /// Returns the paths of a comma list; an item that is not a path is reported once.
  mutating func paths(of attribute: String) -> [AbsolutePath] {
    items(of: attribute).compactMap { path($0, in: "attribute \(attribute)") }
  }

  /// Returns the path that an attribute names, or reports it.
  mutating func path(_ text: String, in object: String) -> AbsolutePath? {
    if let path = AbsolutePath(text) { return path }
    report(
      .unresolved, object, "'\(printable(Array(text.utf8)))' is not a clean absolute path",
      hint: "Name the file by its absolute path, without '..'")
    return nil
  }

  // MARK: Adding

  /// Adds a path, or reports it as missing.
  mutating func need(_ path: AbsolutePath, _ role: Dependency.Role, referrer: String) {
    guard !path.isRoot else {
      report(
        .unresolved, referrer, "it names '/', the whole file system",
        hint: "Name the files or directories that the image needs")
      return
    }
    guard let kind = kind(of: path, referrer: referrer) else { return }
    if kind == .absent {
      reportMissing(path, referrer: referrer)
    } else {
      add(path, isDirectory: kind == .directory, role, referrer: referrer)
    }
  }

  mutating func add(
    _ path: AbsolutePath, isDirectory: Bool, _ role: Dependency.Role, referrer: String
  ) {
    guard !isFull else { return }
    guard needed.count < Self.maxNeeded else {
      isFull = true
      report(
        .tooMuch, referrer,
        "the image names more than \(Self.maxNeeded) files, and the rest is left out",
        hint: "Name directories instead of single files in the synclists")
      return
    }
    guard known.insert(path).inserted else { return }
    needed.append(Dependency(path: path, isDirectory: isDirectory, referrer: referrer, role: role))
  }

  /// Returns the kind of an entry; nil, after a report, if it cannot be read.
  mutating func kind(of path: AbsolutePath, referrer: String) -> FileProvider.Kind? {
    do {
      return try view.kind(path)
    } catch {
      reportUnreadable(path, referrer: referrer, error)
      return nil
    }
  }

  /// Returns the content of a list; nil, after a report, if it has none.
  mutating func content(of path: AbsolutePath, referrer: String) -> [UInt8]? {
    do {
      guard let kind = kind(of: path, referrer: referrer) else { return nil }
      guard kind == .file, let content = try view.read(path) else {
        reportMissing(path, referrer: referrer, isDirectory: kind == .directory)
        return nil
      }
      guard content.count <= Self.maxListBytes else {
        report(
          .tooMuch, path.text,
          "\(referrer) names this file of \(content.count) bytes, too long for a list",
          hint: "Check whether another file was meant; lists may have \(Self.maxListBytes) bytes")
        return nil
      }
      return content
    } catch {
      reportUnreadable(path, referrer: referrer, error)
      return nil
    }
  }

  mutating func report(
    _ kind: DependencyProblem.Kind, _ object: String, _ reason: String, hint: String = ""
  ) {
    guard problems.count <= Self.maxProblems else { return }
    let error = XCATError(object, reason, hint: hint)
    guard reported.insert(error.messageWithHint).inserted else { return }
    problems.append(
      problems.count < Self.maxProblems
        ? DependencyProblem(kind: kind, error: error)
        : DependencyProblem(
          kind: .tooMuch,
          error: XCATError(
            "image",
            "has more than \(Self.maxProblems) problems, and the rest is not reported",
            hint: "Solve these first")))
  }

  mutating func reportMissing(_ path: AbsolutePath, referrer: String, isDirectory: Bool = false) {
    report(
      .missing, path.text,
      isDirectory
        ? "\(referrer) names it as a file, but it is a directory"
        : "\(referrer) names it, but it does not exist",
      hint: "Restore the file, or remove its name: the image cannot be generated without it")
  }

  mutating func reportUnreadable(_ path: AbsolutePath, referrer: String, _ error: any Error) {
    let explained = error as? any ExplainedError
    report(
      .unreadable, path.text,
      "\(referrer) names it, but it cannot be read: \(explained?.reason ?? "\(error)")",
      hint: explained?.hint ?? "")
  }
}

extension ImageDefinition {
  /// The absolute paths of the lists and scripts that imgexport takes.
  fileprivate var exportedPaths: [AbsolutePath] {
    FileAttribute.lists.flatMap { list in
      trimmedItems(of: list.rawValue).compactMap { AbsolutePath($0) }
    }
  }

  /// Returns the items of a comma list. Items of postinstall include their arguments.
  fileprivate func trimmedItems(of attribute: String) -> [String] {
    items(of: attribute).map(trimmedText).filter { !$0.isEmpty }
  }
}

private func trimmedText(_ text: some StringProtocol) -> String {
  String(decoding: trimmed(Array(text.utf8)), as: UTF8.self)
}
