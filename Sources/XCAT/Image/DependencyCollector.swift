// Collects a closure: one function per attribute of the definition, over a few rules shared by all.

import Platform

/// The closure of one image in the making.
struct DependencyCollector {
  static let maxNeeded = 100_000
  static let maxProblems = 1000
  static let maxListBytes = 16 << 20

  private(set) var needed: [Dependency] = []
  private(set) var problems: [DependencyProblem] = []

  let definition: ImageDefinition
  let installDirectory: AbsolutePath
  let view: FileProvider
  /// What names in lists may refer to: osimage.environvar, and what xcatd always has.
  let variables: [String: String]
  /// What is not to be listed: what imgexport takes, and what is listed already.
  private var known: Set<AbsolutePath> = []
  private var isFull = false
  private var told: Set<String> = []

  init(_ definition: ImageDefinition, installDirectory: AbsolutePath, view: FileProvider) {
    self.definition = definition
    self.installDirectory = installDirectory
    self.view = view
    var variables = [
      "XCATROOT": ImageDependencies.xcatRoot.text, "INSTALLDIR": installDirectory.text,
    ]
    for item in (definition.osimage["environvar"] ?? "").split(separator: ",") {
      let parts = item.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { continue }
      variables[Self.trimmedText(parts[0])] = Self.trimmedText(parts[1])
    }
    self.variables = variables
    known = Set(Self.exported(definition))
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

  /// Absolute paths of the lists and scripts that imgexport takes.
  private static func exported(_ definition: ImageDefinition) -> [AbsolutePath] {
    ImageFiles.listAttributes.flatMap { attribute in
      items(of: attribute, definition).compactMap { AbsolutePath($0) }
    }
  }

  // MARK: Attributes

  /// The items of a comma list. Those of postinstall that have arguments hold them.
  static func items(of attribute: String, _ definition: ImageDefinition) -> [String] {
    let value = definition.osimage[attribute] ?? definition.linuximage[attribute] ?? ""
    return value.split(separator: ",").map(trimmedText).filter { !$0.isEmpty }
  }

  private static func trimmedText(_ text: some StringProtocol) -> String {
    String(decoding: trimmed(Array(text.utf8)), as: UTF8.self)
  }

  func items(of attribute: String) -> [String] { Self.items(of: attribute, definition) }

  /// The paths of a comma list; what is none is a problem, told once.
  mutating func paths(of attribute: String) -> [AbsolutePath] {
    items(of: attribute).compactMap { path($0, in: "attribute \(attribute)") }
  }

  /// A path that an attribute names.
  mutating func path(_ text: String, in object: String) -> AbsolutePath? {
    if let path = AbsolutePath(text) { return path }
    report(
      .unresolved, object, "'\(printable(Array(text.utf8)))' is not a clean absolute path",
      advice: "Name the file by its absolute path, without '..'")
    return nil
  }

  // MARK: Adding

  /// Lists a path that must be there.
  mutating func need(_ path: AbsolutePath, _ role: Dependency.Role, why: String) {
    guard !path.components.isEmpty else {
      report(
        .unresolved, why, "it names '/', the whole file system",
        advice: "Name the files or folders that the image needs")
      return
    }
    guard let kind = kind(of: path, why: why) else { return }
    if kind == .absent {
      reportMissing(path, why: why)
    } else {
      add(path, isDirectory: kind == .directory, role, why: why)
    }
  }

  mutating func add(
    _ path: AbsolutePath, isDirectory: Bool, _ role: Dependency.Role, why: String
  ) {
    guard !isFull else { return }
    guard needed.count < Self.maxNeeded else {
      isFull = true
      report(
        .tooMuch, why,
        "the image names more than \(Self.maxNeeded) files, and the rest is left out",
        advice: "Name folders instead of single files in the synclists")
      return
    }
    guard known.insert(path).inserted else { return }
    needed.append(Dependency(path: path, isDirectory: isDirectory, why: why, role: role))
  }

  /// What is there; nil, and a problem, where that cannot be told.
  mutating func kind(of path: AbsolutePath, why: String) -> FileProvider.Kind? {
    do {
      return try view.kind(path)
    } catch {
      reportUnreadable(path, why: why, error)
      return nil
    }
  }

  /// The content of a list; nil, and a problem, where there is none.
  mutating func content(of path: AbsolutePath, why: String) -> [UInt8]? {
    do {
      guard let kind = kind(of: path, why: why) else { return nil }
      guard kind == .file, let content = try view.read(path) else {
        reportMissing(path, why: why, isDirectory: kind == .directory)
        return nil
      }
      guard content.count <= Self.maxListBytes else {
        report(
          .tooMuch, path.text,
          "\(why) names this file of \(content.count) bytes, too long for a list",
          advice: "Lists may have \(Self.maxListBytes) bytes; see whether another file was meant")
        return nil
      }
      return content
    } catch {
      reportUnreadable(path, why: why, error)
      return nil
    }
  }

  mutating func report(
    _ kind: DependencyProblem.Kind, _ object: String, _ finding: String, advice: String = ""
  ) {
    guard problems.count <= Self.maxProblems else { return }
    let error = XCATError(object, finding, advice: advice)
    guard told.insert(error.explanation).inserted else { return }
    problems.append(
      problems.count < Self.maxProblems
        ? DependencyProblem(kind: kind, error: error)
        : DependencyProblem(
          kind: .tooMuch,
          error: XCATError(
            "image", "there are more than \(Self.maxProblems) problems, and the rest is not told",
            advice: "Solve these first")))
  }

  mutating func reportMissing(_ path: AbsolutePath, why: String, isDirectory: Bool = false) {
    report(
      .missing, path.text,
      isDirectory
        ? "\(why) names it as a file, and it is a directory"
        : "\(why) names it, and it is not there",
      advice: "Put the file there, or take its name out: the image cannot be generated without it")
  }

  mutating func reportUnreadable(_ path: AbsolutePath, why: String, _ error: any Error) {
    let explained = error as? any ExplainedError
    report(
      .unreadable, path.text,
      "\(why) names it, and it cannot be read: \(explained?.finding ?? "\(error)")",
      advice: explained?.advice ?? "")
  }
}
