// What `imgstore` alone says: one screen, for every day.

import Images

/// The commands of every day.
enum Overview {
  static let text = """
    imgstore keeps node images: every state, to compare and to go back to.

      imgstore images                     which images there are
      imgstore add NAME DIR               a directory becomes an image
      imgstore snapshot IMAGE -m TEXT     keep the image as it is now
      imgstore status IMAGE               is it still as its latest snapshot says?
      imgstore log IMAGE                  all snapshots of it
      imgstore diff REF [REF] [-- PATH]   what changed; also --packages
      imgstore ls|cat|grep REF:PATH       look inside a snapshot
      imgstore revert REF                 make the live image what a snapshot says
      imgstore revert REF:PATH            … or only a file, or a folder
      imgstore undo IMAGE                 take the last change back
      imgstore tag REF NAME               give a snapshot a name: IMAGE@NAME
      imgstore export REF                 one file for another management node
      imgstore import FILE                … and in again
      imgstore pack IMAGE                 the file that nodes download
      imgstore verify                     can every snapshot be restored?

    REF is IMAGE (the latest), IMAGE@12, IMAGE@~1, IMAGE@NAME or IMAGE@yesterday.

    'imgstore help COMMAND' explains one, 'imgstore help --all' lists all.
    """
}
