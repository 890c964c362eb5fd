// Finds the dependencies of an image that xCAT's imgexport leaves out, but that generating it again
// needs: included lists, partition files, drivers, scripts, sources of synclists, trees
// (docs/xcat-contract.md#left-out-of-bundles).
//
// 1. Files that imgexport takes are not listed; they are only read for their includes.
// 2. Each path is listed once, under the first reason found; the order is that of the attributes.
// 3. Lists are untrusted: a cycle is reported, depth, sizes and counts are limited, and every path is
//    clean. Only files that a list names are read.

import Platform

/// A file or tree that an image needs in addition to its bundle.
public struct Dependency: Sendable, Hashable {
  /// The role of a dependency.
  public enum Role: String, Sendable, CaseIterable {
    case include, partitionFile, driverUpdate, postinstall
    case syncSource, syncScript, postscript, postbootscript
    case kernelDirectory, cfmDirectory, rootTree, ramdisk, packed, hypervisor
  }

  public let path: AbsolutePath
  public let isDirectory: Bool
  /// The list or attribute that names it: "pkglist /install/custom/a.pkglist", "attribute partitionfile".
  public let referrer: String
  public let role: Role

  /// Whether xCAT's own packages install it (below /opt/xcat), so that the other node may have it.
  public var isFromXCAT: Bool { path.isInside(ImageDependencies.xcatRoot) }
}

/// A dependency that could not be determined, and the reason.
public struct DependencyProblem: Sendable {
  /// The kind of a problem.
  public enum Kind: Sendable {
    /// The file is named and does not exist.
    case missing
    /// The list includes itself, perhaps through others; xCAT would read it without end.
    case cycle
    /// The file exists and cannot be read.
    case unreadable
    /// The name is ambiguous: it has a variable, or is a relative or unclean path.
    case unresolved
    /// xCAT ignores the line.
    case ignored
    /// A limit on count, depth or size is exceeded.
    case tooMuch
  }

  public let kind: Kind
  public let error: XCATError
}

/// A media repository that an image is generated from: gigabytes, and not a dependency to carry.
public struct ImageMedia: Sendable, Hashable {
  /// "pkgdir" or "otherpkgdir".
  public let attribute: String
  /// A path or, for some systems, a URL.
  public let location: String
}

/// The dependencies of an image.
public struct ImageDependencies: Sendable {
  /// The files and trees, in the order of the attributes.
  public private(set) var needed: [Dependency] = []
  /// The problems, each once.
  public private(set) var problems: [DependencyProblem] = []
  /// The media repositories.
  public private(set) var media: [ImageMedia] = []

  /// The directory of xCAT's own packages.
  public static let xcatRoot = AbsolutePath(components: [Array("opt".utf8), Array("xcat".utf8)])

  /// Finds the dependencies of an image. A missing or unreadable file is a problem in the result, not
  /// an error.
  /// - Parameter installDirectory: the site's `installdir`, usually /install.
  public init(
    of definition: ImageDefinition, installDirectory: AbsolutePath, in view: FileProvider
  ) {
    var collector = DependencyCollector(
      definition, installDirectory: installDirectory, view: view)
    collector.collect()
    needed = collector.needed
    problems = collector.problems
    for (attribute, items) in [
      ("pkgdir", definition.packageDirectories),
      ("otherpkgdir", definition.otherPackageDirectories ?? []),
    ] {
      for item in items {
        media.append(
          ImageMedia(attribute: attribute, location: printable(trimmed(Array(item.utf8)))))
      }
    }
  }
}
