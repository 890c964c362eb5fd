// What an image needs to be generated again elsewhere, and xCAT's imgexport leaves out (xcat.md section
// 6, defect 17): included lists, partition files, drivers, scripts, sources of synclists, trees.
//
// 1. What imgexport does take is not repeated; it is only read, for what it includes.
// 2. Each path is listed once, under the first reason found; the order is that of the attributes.
// 3. Lists are untrusted: cycles end in a problem, depth, sizes and counts have limits, and every
//    path is clean. Nothing is read that no list names.

import Platform

/// A file or tree that an image needs beside its bundle.
public struct Dependency: Sendable, Hashable {
  public enum Role: String, Sendable, CaseIterable {
    case include, partitionFile, driverUpdate, postinstall
    case syncSource, syncScript, postscript, postbootscript
    case kernelDirectory, cfmDirectory, rootTree, ramdisk, packed, hypervisor
  }

  public let path: AbsolutePath
  public let isDirectory: Bool
  /// Where it is named: "pkglist /install/custom/a.pkglist", "attribute partitionfile".
  public let why: String
  public let role: Role

  /// xCAT's own packages bring it (it lies below /opt/xcat), so that the other node may have it.
  public var isFromXCAT: Bool { path.isInside(ImageDependencies.xcatRoot) }
}

/// Why something that an image names is not in its closure.
public struct DependencyProblem: Sendable {
  public enum Kind: Sendable {
    /// Named and not there.
    case missing
    /// A list that includes itself, perhaps by way of others; xCAT would read it without end.
    case cycle
    /// It is there and cannot be read.
    case unreadable
    /// It cannot be told which file is meant: a variable, a relative or unclean path.
    case unresolved
    /// A line that xCAT ignores.
    case ignored
    /// More, deeper or larger than the limits allow.
    case tooMuch
  }

  public let kind: Kind
  public let error: XCATError
}

/// A media repository that an image is made from: gigabytes, and no part of the closure.
public struct ImageMedia: Sendable, Hashable {
  /// "pkgdir" or "otherpkgdir".
  public let attribute: String
  /// A path or, for some systems, a URL.
  public let location: String
}

/// All that an image needs.
public struct ImageDependencies: Sendable {
  public private(set) var needed: [Dependency] = []
  public private(set) var problems: [DependencyProblem] = []
  public private(set) var media: [ImageMedia] = []

  public static let xcatRoot = AbsolutePath(components: [Array("opt".utf8), Array("xcat".utf8)])

  /// Finds what an image needs. What cannot be found or read is a problem in the result, not an error.
  /// - Parameter installDirectory: the site's `installdir`, mostly /install.
  public init(
    of definition: ImageDefinition, installDirectory: AbsolutePath, in view: FileProvider
  ) {
    var collector = DependencyCollector(
      definition, installDirectory: installDirectory, view: view)
    collector.collect()
    needed = collector.needed
    problems = collector.problems
    for attribute in ["pkgdir", "otherpkgdir"] {
      for item in (definition.linuximage[attribute] ?? "").split(separator: ",") {
        media.append(
          ImageMedia(attribute: attribute, location: printable(trimmed(Array(item.utf8)))))
      }
    }
  }
}
