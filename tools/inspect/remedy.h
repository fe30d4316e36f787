/* What to do about damage, in the words of all findings. */
#ifndef INSPECT_REMEDY_H
#define INSPECT_REMEDY_H

#define REMEDY_LOG                                                                                 \
    "the node must not vote with this log: start it, and it mends what it can, rejoins from its "  \
    "peers, or says why it cannot; else remove it from the cluster, empty its directory and let "  \
    "it join under a new id"
#define REMEDY_STATE                                                                               \
    "start the node: it rebuilds its state from a snapshot or from its peers, or says why it "     \
    "cannot; else remove it from the cluster, empty its directory and let it join under a new id"
#define REMEDY_SNAPSHOT                                                                            \
    "delete this snapshot's directory while the node is stopped: it makes a new one when needed"
#define REMEDY_NODE                                                                                \
    "remove the node from the cluster, empty its directory and let it join under a new id"
#define REMEDY_NEWER "use the rockraft-inspect of the version that wrote this"

#endif
