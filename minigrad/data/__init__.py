"""Datasets, batches and augmentation, on NumPy arrays."""

from minigrad.data import transforms as transforms
from minigrad.data.dataset import ArrayDataset as ArrayDataset, Dataset as Dataset
from minigrad.data.loader import DataLoader as DataLoader
