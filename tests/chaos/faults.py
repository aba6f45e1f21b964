"""All kinds of faults, by name, and how often the long form tries each."""

from __future__ import annotations

from signal import SIGINT, SIGKILL, SIGTERM

from drivers import driver_ended, job_stopped
from images import command_ended, corrupt_images
from storage import disk_full, quota_reached, s3_segmented, s3_synthetic
from trial import Kind
from workers import (
    machine_killed,
    poison,
    record_killed,
    setup_killed,
    worker_killed,
    workers_killed,
)

KINDS = {
    kind.name: kind
    for kind in (
        Kind("worker killed", worker_killed, 6),
        Kind("workers killed", workers_killed, 3),
        Kind("worker killed in setup", setup_killed, 4),
        Kind("record killed", record_killed, 2),
        Kind("machine killed", machine_killed, 4),
        Kind("poison row", poison, 3),
        Kind("driver SIGTERM (ray)", driver_ended("ray", SIGTERM), 4),
        Kind("driver SIGINT (ray)", driver_ended("ray", SIGINT), 4),
        Kind("ray job stop", job_stopped, 4),
        Kind("driver SIGKILL (ray)", driver_ended("ray", SIGKILL), 4),
        Kind("driver SIGTERM (local)", driver_ended("local", SIGTERM), 4),
        Kind("driver SIGINT (local)", driver_ended("local", SIGINT), 4),
        Kind("driver SIGKILL (local)", driver_ended("local", SIGKILL), 5),
        Kind("ipseg SIGTERM (ray)", command_ended("ray", SIGTERM), 1),
        Kind("ipseg SIGTERM (local)", command_ended("local", SIGTERM), 1),
        Kind("disk full (ray)", disk_full("ray"), 2),
        Kind("disk full (local)", disk_full("local"), 3),
        Kind("quota reached (local)", quota_reached, 3),
        Kind("S3 5 % (ray)", s3_synthetic("ray"), 1),
        Kind("S3 5 % (local)", s3_synthetic("local"), 2),
        Kind("S3 to S3 (ray)", s3_segmented("ray"), 1),
        Kind("S3 to S3 (local)", s3_segmented("local"), 2),
        Kind("corrupt images (ray)", corrupt_images("ray"), 1),
        Kind("corrupt images (local)", corrupt_images("local"), 3),
    )
}
